"""`beam report`: one page of HTML about a feature store or a media folder."""
