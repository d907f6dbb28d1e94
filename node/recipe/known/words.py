"""Words that identify nobody by themselves: a value that is one of them counts only beside a second identifier.

Surnames that are also words of radiology, words of places and departments, dummies, and what test objects are called.
"""

from __future__ import annotations

_WORDS = (
    # Anatomy, laterality, views, positions.
    """
    abdomen abdominal adrenal ankle anterior aorta apex arch arm artery atrium axial axilla back base bladder
    blood body bone bowel brain breast bronchus calcaneus calf cardiac carotid cervical cheek chest chin
    clavicle coccyx colon coronal cranial cranium decubitus diaphragm dorsal elbow eye eyes face feet femoral
    femur fibula finger foot forearm frontal gallbladder gland groin hand head headfirst heart hip humerus iliac
    inferior jaw joint kidney knee larynx lateral left lens ligament limb liver long lower lumbar lung lungs
    mandible marrow maxilla medial mouth muscle neck nerve nose oblique orbit organ ovary palm pancreas parotid
    patella pelvis penis pharynx pituitary posterior prone prostate radius rectum renal retina ribs right sacrum
    sagittal scalp scapula shin shoulder sinus skin skull spine spleen stomach superior supine tail temple thigh
    thorax throat thumb thyroid tibia tongue tooth torso trachea trunk ulna upper ureter urethra uterus vagina
    vein ventral ventricle vertebra vessel waist whole wrist
    """
    # Acquisition, reconstruction, description of images.
    """
    acquisition angio angiogram arterial average axis black bolus bright brown brush care case center centre
    clear close code coil cold contrast cool cross curve dark data default delay delayed density derived detail
    diffusion digital display dose dual dynamic early echo edge enhanced enhancement exam examination exposure
    fast field fill film filter fine flair flash flip flow fluoro focus frame full gain gate gated grade
    gradient gray green grey grid high hold image images imaging index infusion injection input iris item keen
    kernel large last late level light line list local localizer location loop lossy main major manual mark mask
    matrix maximum mean medium minimum modality mode model motion multi native negative none normal nuclear
    number object orange order original other output overview pass peak perfusion phantom phase pixel plain
    plane plate plus point portal position positive post power preview primary procedure profile projection
    protocol quality quick radio range rapid rate ratio reading real reference region resolution rest result
    review routine sample scan scanner scout screen secondary section sequence series setup sharp short signal
    silver single site slab slice slow small smooth soft source special speed spin spiral spot standard start
    state static step stone store stress strong study summary surface surgery survey swift system table target
    teeth temporal test thick thin time tissue title tomo total tracer transverse tube tumor type ultra uniform
    unit value vascular venous version view views volume wash water wave white wide width window wood work young
    zone
    """
    # Places, departments, titles, manufacturers.
    """
    canon central city clinic college community county department doctor east emergency fuji fujifilm general
    health healthcare hitachi hospital institute institution international laboratories laboratory medical
    medicine memorial national neurology north northern office oncology orthopedics outpatient patient
    pediatrics philips physician praxis private professor public radiologie radiology radiotherapy regional
    research saint service services siemens south southern toshiba trauma university varian ward west western
    """
    # Dummies and test objects.
    """
    academic anon anonym anonymised anonymized anonymous demo dummy example family first given middle missing
    name null removed somebody subject tester testing undefined unidentified unknown unnamed volunteer
    """
    # Words of every language of forms.
    """
    about above again against also before below between both done each else enter even every from have here into just
    keep kind last look make more most much must need next nobody nothing once only open over please same save select
    send some such take text than that their them then there these they this type under until used user very what when
    where which while will with without word words your
    """
)

COMMON = frozenset(_WORDS.split())
"""Lowered."""
