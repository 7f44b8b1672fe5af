package delivery

import "time"

// ExternalizeConfig says what loads the data that is sent.
type ExternalizeConfig struct {
	// Registry has the externalizers. Default: none, and the intent's data is sent.
	Registry *Externalizers

	// Timeout bounds one call of an externalizer. At least 1 ms. Default: 10 s.
	Timeout time.Duration

	// Tries is how often an externalizer or a dialect may fail for an intent before the
	// decision is failed. Default: 8.
	Tries int
}

func (x *ExternalizeConfig) fill() {
	def(&x.Timeout, 10*time.Second)
	def(&x.Tries, 8)
	if x.Registry == nil {
		x.Registry = &Externalizers{}
	}
}

// problem says what is wrong with a field; "" if nothing is.
func (x *ExternalizeConfig) problem() string {
	switch {
	case x.Timeout < time.Millisecond:
		return "Timeout: " + tooShort(x.Timeout)
	case x.Tries < 0:
		return "Tries: must not be negative"
	default:
		return ""
	}
}
