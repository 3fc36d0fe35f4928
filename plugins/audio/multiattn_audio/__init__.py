"""Speech for multiattn. ``plugin.py`` lists the components; importing this imports nothing."""
