"""What the Campaigns pages are made of: forms, figures and words (pure), a file on its way in, and
the campaigns that somebody looks at."""
