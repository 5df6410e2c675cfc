"""Every prompt, as a jinja template that a user can read and replace."""
