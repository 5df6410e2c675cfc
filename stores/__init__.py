"""Facts that come with the package; working stores of a checkout lie beside this file, ignored by git."""
