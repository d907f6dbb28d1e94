"""What kind of object an instance is, and what its kind asks for, whatever a recipe says of its attributes.

Guarantees that the original header alone is judged, and that an object which shows somebody where no recipe looks is
held, excluded, replaced by a stub or let through as the route says: documents and voices, objects of unknown classes,
images that may show who the patient is. Says in the result what is known of its pixels, and nothing more.

classes    unknown SOP classes, and those of documents and voices
stubs      what takes the place of a document or a voice
risk       whether an image may show who the patient is
rejection  documents that say that other instances are not to be used
statement  Burned In Annotation and Recognizable Visual Features of a result
policy     what a route wants, applied to one instance
"""

from node.objects.policy import Policy, Verdict

__all__ = ["Policy", "Verdict"]
