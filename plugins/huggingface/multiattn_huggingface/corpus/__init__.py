"""The corpus ``hf-dataset``: datasets of the Hugging Face hub, of a folder, of parquet files."""
