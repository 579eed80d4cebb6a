"""A folder as one JSON document, the form in which the field's command-line client pulls an agent, and back into files."""
