"""The texts of campaigns: templates, which of them a person gets, and how many parts they take."""
