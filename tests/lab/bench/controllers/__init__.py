"""`lab bench controllers`: how quickly netwatcher and svcwatcher follow, and what that costs."""
