package dialect

// BuiltIn returns all dialects of this package, in the order of their names: those
// that an engine knows by default. Use it to add one of your own to them.
//
//	dialects, err := dialect.NewRegistry(append(dialect.BuiltIn(), acme)...)
func BuiltIn() []Dialect {
	return []Dialect{CloudEvents(), CloudEventsBinary(), Hub(), Plain(), PyWebhooks(), Servo(), Standard(), Stripe()}
}
