"""The metrics of COCO's caption evaluation, without torch. Nothing is imported here."""
