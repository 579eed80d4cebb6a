"""What the field's command-line client pushes: batches of commands in the protocol buffers wire format."""
