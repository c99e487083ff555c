"""What in it must not leave? Special-category data, found and taken out."""
