"""Output for people: plain records of a network's facts, and the text and pages made from them."""
