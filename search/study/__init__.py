"""What a study searches: study files, spaces, samplers, pruners."""
