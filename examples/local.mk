# Programs that use the library the way its users do: through <vmmigrate/...>.
