"""The model and its parts: attention, fusion, recurrence, decoder, output layer."""
