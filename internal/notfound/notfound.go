// Package notfound has the error that the packages of Riverhook share.
package notfound

import "errors"

// Err is the ErrNotFound of each package.
var Err = errors.New("not found")
