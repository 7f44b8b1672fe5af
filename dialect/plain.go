package dialect

// Plain returns the dialect "plain", for receivers that take JSON and check
// nothing, as REST Hooks and Zapier do: a POST of the bare data. It is not
// signed. webhook-id is its only header of its own, so that a receiver can tell
// a repetition.
func Plain() Dialect {
	return builtIn(&CustomConfig{
		Envelope:     EnvelopeBare,
		EventHeaders: map[string]func(Event) string{headerWebhookID: func(ev Event) string { return ev.ID }},
		Name:         "plain",
		Signer:       Unsigned(),
	})
}
