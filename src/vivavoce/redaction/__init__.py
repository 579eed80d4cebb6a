"""Which spans of a text are personal data, and the text without them. Pure: text in, spans out."""
