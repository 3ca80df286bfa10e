"""`lab bench controllers`: how quickly netwatcher follows, and what it costs."""
