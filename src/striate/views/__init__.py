"""What people see: plain records of a network's facts, and the text, picture and page made from them."""
