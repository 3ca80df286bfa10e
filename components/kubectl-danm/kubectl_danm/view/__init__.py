"""What the commands answer: from objects to rows, sentences and documents. Pure."""
