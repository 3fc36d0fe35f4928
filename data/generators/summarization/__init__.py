"""The summarization corpus: invented office e-mails with their subject lines."""
