"""Code that the kit and its local services share: errors, sanitizing, files, Git and sockets."""
