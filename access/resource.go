package access

// Resource names what an event is about. Riverhook does not interpret it: the
// application chooses kinds ("user", "office") and how it writes their ids.
type Resource struct {
	// Kind selects the [Checker] in a [Registry], and externalizers.
	Kind string `json:"kind"`
	// ID is the application's id of the resource, in the application's form.
	ID string `json:"id"`
}

// String returns "kind:id", or the part that is set.
func (r Resource) String() string {
	switch {
	case r.Kind == "":
		return r.ID
	case r.ID == "":
		return r.Kind
	default:
		return r.Kind + ":" + r.ID
	}
}
