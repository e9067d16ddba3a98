"""One file for each kind of picture: `facts` asks for the numbers, `drawing` lays them out."""
