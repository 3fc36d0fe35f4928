"""Reading recordings: file formats, decoding, resampling and checks. Imports no torch."""
