// Package orm shows how a transaction of GORM, sqlx, bun or ent enqueues an event
// together with the row that the event is about. It is a module of its own, so that none
// of these libraries is a dependency of Riverhook.
package orm

import (
	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/outbox"
)

// created is the event of a new user.
func created(name string) outbox.Intent {
	return outbox.Intent{
		Type:     "user.created",
		Site:     "/noaa",
		Resource: access.Resource{Kind: "user", ID: name},
		Data:     map[string]string{"name": name},
	}
}
