"""What is done with a data set as a whole: listing, getting, checking, showing and converting it."""
