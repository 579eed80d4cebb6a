"""Author functions, run out of process: the server never imports a line of the folder's code."""
