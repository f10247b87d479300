"""The channel of app push: notifications and data to people's phones, through the vendors that reach them."""
