"""The report of an evaluation: words, HTML, pictures and console tables. No number is made here."""
