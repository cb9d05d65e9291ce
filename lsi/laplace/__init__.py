"""The method: Laplace Sample Information from features and labels, arrays in and arrays out."""
