"""What the storage bears, measured: crowds of workers, studies of many trials."""
