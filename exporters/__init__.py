"""One file a target: a fused, quantised program in, a file for that target's runtime out."""
