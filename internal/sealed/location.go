// Package sealed is how values are sealed for the rows that they are stored in,
// and opened again: what every package that stores a secret uses.
//
// Sealing and opening call host code, which can be a remote key management. So
// they are called while no database connection is held.
package sealed

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/riverhook/riverhook/internal/endpointauth"
)

// Location is the column of a row. What was sealed for one location opens at no other:
// not in another row, not for another subscription, not in another column. The
// schema is not part of it, so that a database can be restored under another name.
type Location struct {
	Table, Column string
	ID            uuid.UUID // of the row
	Subscription  uuid.UUID // whose row it is
	Origin        string    // the only one that it is sent to; "" is bound to none
}

// EndpointAuth is the location of a subscription's credentials, headers or TLS
// settings. Whoever may change the URL in the database must not have them sent
// elsewhere: what is sent to the endpoint is bound to the origin of the URL in
// force. TLS settings are not sent, and stay when the URL changes.
func EndpointAuth(kind string, id, subscription uuid.UUID, rawURL string) Location {
	at := Location{
		Table:        "endpoint_auth",
		Column:       kind,
		ID:           id,
		Subscription: subscription,
	}
	if kind != endpointauth.KindTLS {
		at.Origin = endpointauth.Origin(rawURL)
	}
	return at
}

// Secret is the location of a signing secret.
func Secret(id, subscription uuid.UUID) Location {
	return Location{
		Table:        "secret",
		Column:       "value",
		ID:           id,
		Subscription: subscription,
	}
}

// associatedData names the location. Names of tables and columns have neither of the
// separators, and ids have one length: no two locations are written alike.
func (p Location) associatedData() []byte {
	data := fmt.Appendf(make([]byte, 0, 160), "riverhook/1/%s.%s/%s/%s", p.Table, p.Column, p.ID, p.Subscription)
	if p.Origin != "" {
		data = append(append(data, '/'), p.Origin...)
	}
	return data
}

// Value is what is stored: sealed, or in clear where it was stored under
// seal.Clear.
type Value struct {
	Bytes  []byte
	Sealed bool
}
