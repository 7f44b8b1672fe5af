// Package maintain has the tasks of an engine that no job does: what is removed.
package maintain
