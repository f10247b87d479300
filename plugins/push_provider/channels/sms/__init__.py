"""The SMS channel: messages by approved templates, through Aliyun."""
