"""One file per kind of picture: `facts` computes the numbers, `drawing` lays them out."""
