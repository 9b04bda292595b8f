"""From inputs to outputs for any command: naming, batches, previews, records, resuming, reports."""
