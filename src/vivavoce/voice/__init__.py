"""The media of a call: who speaks when, decided purely, and the call that joins the deciders to speech."""
