"""The rights of the person: everything held of them given out, or erased; and retention.

exporting   the whole record, with its files
erasing     the request, its delay, and the doing when it is due
scope       whose and what that is;  wiping: the rows;  forgetting: the events (pure)
letters     what of it stands among the dead letters;  files: what leaves the blob store
barring     what consumers drop of it, by the ledger (`shared.ledger`);  book: in and out of it
retention   what the policy keeps no longer
"""
