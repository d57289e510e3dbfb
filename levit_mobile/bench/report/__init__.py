"""What a bench found, as a page for people: HTML in one file, or Markdown."""
