"""The WebSocket channel: live messages to the users of somebody's pages and apps, through Centrifugo."""
