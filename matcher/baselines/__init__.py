"""Other people's matchers behind the interface of `matcher.types`, to be measured against."""
