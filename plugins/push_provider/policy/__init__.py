"""Who may have what done, and within which bounds."""
