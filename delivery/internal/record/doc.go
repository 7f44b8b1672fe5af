// Package record writes what became of deliveries: the transitions of many jobs in one
// statement ([Recorder]), what their attempts say of each endpoint ([Health]), and the
// events that Riverhook writes itself ([Operation]). After the commit it calls hooks and
// writes the line of the log.
package record
