"""The email channel: mails over SMTP, each to one recipient."""
