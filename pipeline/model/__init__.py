"""The words as frozen types: article, revision, outlet, delivery, document, share; and the errors."""
