"""See a prediction: where the model looked for each word, in a browser, without a server."""
